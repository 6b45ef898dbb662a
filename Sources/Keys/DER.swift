/// The few encodings of X.690 (DER) that certificates and keys need to be written with.
public enum DER {
    /// SEQUENCE of the given encodings.
    public static func sequence(_ parts: [[UInt8]]) -> [UInt8] {
        tagged(0x30, parts.flatMap { $0 })
    }

    /// INTEGER from big-endian bytes of a number that is not negative.
    public static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        var body = Array(magnitude.drop { $0 == 0 })
        if body.first.map({ $0 >= 0x80 }) ?? true { body.insert(0, at: 0) }
        return tagged(0x02, body)
    }

    /// OCTET STRING.
    public static func octetString(_ bytes: [UInt8]) -> [UInt8] { tagged(0x04, bytes) }

    /// BIT STRING of whole bytes.
    public static func bitString(_ bytes: [UInt8]) -> [UInt8] { tagged(0x03, [0] + bytes) }

    /// NULL.
    public static var null: [UInt8] { [0x05, 0x00] }

    /// OBJECT IDENTIFIER from its dotted form, which must be a valid one.
    public static func objectIdentifier(_ dotted: String) -> [UInt8] {
        let arcs = dotted.split(separator: ".").map { UInt64($0) ?? 0 }
        precondition(arcs.count >= 2 && arcs[0] <= 2, "not an object identifier: \(dotted)")
        var body: [UInt8] = []
        for arc in [arcs[0] * 40 + arcs[1]] + arcs.dropFirst(2) {
            var groups = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                groups.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            body += groups.reversed()
        }
        return tagged(0x06, body)
    }

    /// Any tag of one byte, with its content.
    public static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8]
        if content.count < 0x80 {
            length = [UInt8(content.count)]
        } else {
            length = []
            var rest = content.count
            while rest > 0 {
                length.insert(UInt8(rest & 0xFF), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + content
    }
}
