internal import Keys
internal import Loop

/// The endpoints of services, as the API server lists them (discovery.k8s.io/v1).
final class EndpointSlices: Sendable {
    /// A service, and which port of its endpoints is meant.
    struct Service: Sendable, Equatable {
        enum Port: Sendable, Equatable {
            case number(UInt16)
            /// As the service calls it: each slice says its number.
            case name(String)
        }

        let namespace: String
        let name: String
        let port: Port
    }

    private let api: KubernetesAPI
    /// The API is asked for one service after the other, away from the event loops.
    private let thread = JobThread(capacity: 512)

    init(_ api: KubernetesAPI) {
        self.api = api
    }

    /// Asks for the endpoints that are ready; `then` is called on another thread. False where too
    /// many questions wait already.
    func ask(
        for service: Service,
        then: @escaping @Sendable (Result<[Address], KubernetesAPI.Failure>) -> Void
    ) -> Bool {
        thread.submit { [api] in
            then(
                Result { () throws(KubernetesAPI.Failure) in
                    try EndpointSlices.addresses(api.get(service.path), service.port)
                })
        }
    }

    /// What a list of slices says: each endpoint once, in the order of their addresses.
    ///
    /// An endpoint that does not say that it is ready is none: Kubernetes would have it count as
    /// ready, but nothing is sent to what nobody vouched for.
    static func addresses(
        _ list: JSONValue, _ port: Service.Port
    ) throws(KubernetesAPI.Failure) -> [Address] {
        guard let slices = list["items"]?.items else {
            throw KubernetesAPI.Failure(description: "the API server sent no list of slices")
        }
        var found: [String: Address] = [:]
        for slice in slices {
            guard let number = self.port(port, of: slice) else { continue }
            for endpoint in slice["endpoints"]?.items ?? []
            where endpoint["conditions"]?["ready"] == .bool(true) {
                // Of several addresses the first is the one to use; names are none.
                guard let host = endpoint["addresses"]?.items?.first?.text else { continue }
                let address = Address.ip(host: host, port: number)
                if address.isNumeric { found["\(address)"] = address }
            }
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    private static func port(_ port: Service.Port, of slice: JSONValue) -> UInt16? {
        switch port {
        case .number(let number): return number
        case .name(let name):
            let found = slice["ports"]?.items?.first { $0["name"]?.text == name }
            return found?["port"]?.integer.flatMap(UInt16.init(exactly:)).flatMap {
                $0 > 0 ? $0 : nil
            }
        }
    }
}

extension EndpointSlices.Service: CustomStringConvertible {
    /// Slices belong to a service by their label. A server may answer from what it watched: a
    /// moment old, and no read of its database.
    var path: String {
        "/apis/discovery.k8s.io/v1/namespaces/\(namespace)/endpointslices"
            + "?labelSelector=kubernetes.io%2Fservice-name%3D\(name)&resourceVersion=0"
    }

    var description: String { "\(namespace)/\(name)" }
}
