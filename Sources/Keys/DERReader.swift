/// Reads X.690 (DER) one element after the other; definite, shortest lengths only.
public struct DERReader: Sendable {
    /// One element: its identifier octet and its content.
    public struct Element: Sendable, Equatable {
        /// The identifier octet; multi-octet tags are refused.
        public let tag: UInt8
        /// The content octets.
        public let content: [UInt8]

        /// The elements inside a constructed one.
        public var inside: DERReader { DERReader(content) }
    }

    private let bytes: [UInt8]
    private var offset = 0

    /// Reads `bytes` from their beginning.
    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Whether everything was read.
    public var isAtEnd: Bool { offset == bytes.count }

    /// The next element; `malformed` when there is none, or it is not DER.
    public mutating func next() throws(KeyError) -> Element {
        let tag = try byte()
        guard tag & 0x1F != 0x1F else { throw KeyError(.malformed, "DER: a long tag") }
        var length = Int(try byte())
        if length >= 0x80 {
            let count = length & 0x7F
            // Three octets of length are 16 MiB, more than any certificate.
            guard (1...3).contains(count) else { throw KeyError(.malformed, "DER: a length") }
            length = 0
            for _ in 0..<count { length = length << 8 | Int(try byte()) }
            guard length >= 0x80, length >> (8 * (count - 1)) > 0 else {
                throw KeyError(.malformed, "DER: a length that is not the shortest")
            }
        }
        guard length <= bytes.count - offset else {
            throw KeyError(.malformed, "DER: an element that runs past its end")
        }
        defer { offset += length }
        return Element(tag: tag, content: Array(bytes[offset..<offset + length]))
    }

    /// The next element, which must have `tag`.
    public mutating func next(_ tag: UInt8) throws(KeyError) -> Element {
        let element = try next()
        guard element.tag == tag else { throw KeyError(.malformed, "DER: another tag") }
        return element
    }

    private mutating func byte() throws(KeyError) -> UInt8 {
        guard offset < bytes.count else { throw KeyError(.malformed, "DER: it is cut short") }
        defer { offset += 1 }
        return bytes[offset]
    }
}
