extension Array where Element == UInt8 {
    /// Copies bytes out of a buffer, for what is not on the data path.
    public init(copying bytes: Span<UInt8>) {
        self.init()
        reserveCapacity(bytes.count)
        for index in bytes.indices { append(bytes[index]) }
    }
}
