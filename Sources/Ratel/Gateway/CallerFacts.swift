internal import HTTP
internal import Loop
internal import Streams

/// What a backend may know of the caller behind a connection.
struct CallerFacts {
    /// The peer that was admitted; nil for callers on this machine and on the web.
    let peer: AdmittedCaller?
    private let clientAddress: Forwarding.ClientAddress

    init(_ connection: Downstream, forwardsAddress: Bool) {
        peer = connection.peer as? AdmittedCaller
        guard forwardsAddress else {
            clientAddress = .off
            return
        }
        if case .ip(let host, _)? = connection.remote {
            clientAddress = .append(host)
        } else {
            clientAddress = .append("unknown")
        }
    }

    /// The head for a backend at `address`.
    func forward(_ head: RequestHead, to address: Address) -> RequestHead {
        var options = Forwarding.RequestOptions(fallbackHost: address.description)
        options.clientAddress = clientAddress
        var forwarded = Forwarding.request(head, options)
        if let peer {
            forwarded.fields.set("X-Ratel-Peer", peer.name)
            forwarded.fields.set("X-Ratel-Tier", peer.tier)
        }
        return forwarded
    }
}
