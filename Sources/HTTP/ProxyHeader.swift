/// The header of the PROXY protocol, version 2: what the proxy before says of who connected
/// (haproxy's `proxy-protocol.txt`, section 2.2).
///
/// The binary version alone: the older one is text that an HTTP request can be mistaken for.
public struct ProxyHeader: Sendable, Equatable {
    /// One end of the connection that is told of: 4 or 16 bytes in network order, and a port.
    public struct Endpoint: Sendable, Equatable {
        public let address: [UInt8]
        public let port: UInt16

        /// Pairs an address with its port.
        public init(address: [UInt8], port: UInt16) {
            self.address = address
            self.port = port
        }
    }

    /// What the header says of the connection behind it.
    public enum Origin: Sendable, Equatable {
        /// The proxy's own connection, such as a health check: the ends are the real ones.
        case local
        /// Somebody's, by a way that has no address and port, such as a Unix socket.
        case unknown
        /// Somebody's, between these ends.
        case relayed(source: Endpoint, destination: Endpoint)
    }

    /// A header with its first byte's offset past it.
    public struct Parsed: Sendable, Equatable {
        public let header: ProxyHeader
        /// Bytes that the header took.
        public let consumed: Int
    }

    /// What it says.
    public let origin: Origin

    /// Says `origin`.
    public init(_ origin: Origin) { self.origin = origin }

    /// Bytes of a whole header: the least segment that every TCP takes in one piece (RFC 9293
    /// section 3.7.1), and sixteen times what IPv6 addresses need, so that there is room for what
    /// balancers add, but not for a peer who only fills memory.
    public static let maxSize = 536

    static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    /// Signature, version with command, family, and the length of the rest.
    static let fixedSize = 16

    /// Reads a header from the front of `bytes`; `nil` means that more are needed.
    ///
    /// Refused as soon as the bytes at fault are there: another signature, version, command or
    /// family, a length past `maxSize`, extensions that do not fill it, a wrong checksum.
    public static func parse(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> Parsed? {
        for index in 0..<min(bytes.count, signature.count) where bytes[index] != signature[index] {
            throw .badByte("proxy_protocol.signature", "a PROXY v2 header", bytes[index], at: index)
        }
        if bytes.count > 12 { try checkCommand(bytes[12]) }
        guard bytes.count >= fixedSize else { return nil }
        let length = Int(bytes[14]) << 8 | Int(bytes[15])
        let end = fixedSize + length
        guard end <= maxSize else {
            throw .bad("proxy_protocol.length", "at most \(maxSize) bytes", "\(end)")
        }
        let isLocal = bytes[12] & 0x0F == 0
        let size = try addressSize(bytes[13], isLocal: isLocal)
        guard length >= size else {
            throw .bad("proxy_protocol.length", "\(size) bytes of addresses", "\(length)")
        }
        guard bytes.count >= end else { return nil }
        // What follows the addresses of LOCAL and of an unknown family means nothing.
        if size > 0 { try ProxyExtensions.check(bytes, from: fixedSize + size, to: end) }
        return Parsed(header: ProxyHeader(origin(bytes, size, isLocal)), consumed: end)
    }

    private static func checkCommand(_ byte: UInt8) throws(HTTPRefusal) {
        guard byte >> 4 == 2 else {
            throw .badByte("proxy_protocol.version", "version 2", byte, at: 12)
        }
        guard byte & 0x0F <= 1 else {
            throw .badByte("proxy_protocol.command", "LOCAL or PROXY", byte, at: 12)
        }
    }

    /// Bytes of both addresses.
    private static func addressSize(_ family: UInt8, isLocal: Bool) throws(HTTPRefusal) -> Int {
        if isLocal { return 0 }
        switch family {
        case 0x00: return 0
        // Two addresses and two ports.
        case 0x11: return 12
        case 0x21: return 36
        // Two paths of 108 bytes.
        case 0x31: return 216
        default: throw .badByte("proxy_protocol.family", "TCP or a Unix stream", family, at: 13)
        }
    }

    private static func origin(_ bytes: Span<UInt8>, _ size: Int, _ isLocal: Bool) -> Origin {
        if isLocal { return .local }
        guard size == 12 || size == 36 else { return .unknown }
        let width = size / 2 - 2
        func run(_ offset: Int, _ count: Int) -> [UInt8] {
            (offset..<offset + count).map { bytes[fixedSize + $0] }
        }
        func port(_ offset: Int) -> UInt16 {
            UInt16(bytes[fixedSize + offset]) << 8 | UInt16(bytes[fixedSize + offset + 1])
        }
        return .relayed(
            source: Endpoint(address: run(0, width), port: port(2 * width)),
            destination: Endpoint(address: run(width, width), port: port(2 * width + 2)))
    }

    /// The header as it travels; ends of two kinds become an unknown one.
    public func serialise() -> [UInt8] {
        var output = ProxyHeader.signature
        guard case .relayed(let source, let destination) = origin,
            source.address.count == destination.address.count,
            source.address.count == 4 || source.address.count == 16
        else {
            return output + [origin == .local ? 0x20 : 0x21, 0x00, 0x00, 0x00]
        }
        let width = source.address.count
        output += [0x21, width == 4 ? 0x11 : 0x21, 0, UInt8(2 * width + 4)]
        output += source.address + destination.address
        for port in [source.port, destination.port] {
            output += [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
        }
        return output
    }
}
