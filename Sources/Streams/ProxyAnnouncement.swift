internal import HTTP
internal import Loop

extension ProxyHeader {
    /// What the next hop is told of a caller at `source` that connected to `destination`.
    init(from source: Address?, to destination: Address?) {
        guard let source = source?.octets, let destination = destination?.octets else {
            self.init(.unknown)
            return
        }
        self.init(
            .relayed(
                source: Endpoint(address: source.bytes, port: source.port),
                destination: Endpoint(address: destination.bytes, port: destination.port)))
    }
}
