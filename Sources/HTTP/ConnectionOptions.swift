/// The `Connection` field of a head, RFC 9110 section 7.6.1.
struct ConnectionOptions: Sendable, Equatable {
    var close = false
    var upgrade = false

    init(_ fields: HTTPFields) throws(HTTPRefusal) {
        var options = (close: false, upgrade: false)
        try fields.forEachMember(of: "connection") { (member) throws(HTTPRefusal) in
            guard fields.storage[member].allSatisfy(Grammar.isToken) else {
                throw .bad("http.connection", "a list of tokens", "something else")
            }
            // Naming one of these would have the next hop lose it: a way to take the framing,
            // the route or the credentials out of a message that was checked with them.
            if ConnectionOptions.endToEnd.contains(where: { fields.equals(member, $0) })
                || fields.hasPrefix(member, "x-ratel-")
            {
                throw .bad("http.connection.option", "hop-by-hop names", "an end-to-end field")
            }
            if fields.equals(member, "close") { options.close = true }
            if fields.equals(member, "upgrade") { options.upgrade = true }
        }
        close = options.close
        upgrade = options.upgrade
    }

    /// Fields that no sender has a reason to make hop-by-hop.
    static let endToEnd = [
        "content-length", "transfer-encoding", "host", "content-type", "content-encoding",
        "authorization", "cookie", "set-cookie", "expect", "cache-control", "forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    ]
}
