/// Textual encoding of certificates and keys, RFC 7468, read strictly.
public enum PEM {
    /// The bytes of every block labelled `label`, in order, at most `limit`.
    ///
    /// Errors: `malformed` for a block that is not closed or not base64. Text between blocks is
    /// allowed, as RFC 7468 section 5.2 does for explanatory text.
    public static func decode(
        _ text: String, label: String, limit: Int = .max
    ) throws(KeyError) -> [[UInt8]] {
        try decode(Array(text.utf8), label: label, limit: limit)
    }

    /// The same of a text's bytes.
    public static func decode(
        _ text: [UInt8], label: String, limit: Int = .max
    ) throws(KeyError) -> [[UInt8]] {
        let squeezed = label.filter { $0 != " " }
        let (begin, end) = (
            Array("-----BEGIN\(squeezed)-----".utf8), Array("-----END\(squeezed)-----".utf8)
        )
        var blocks: [[UInt8]] = []
        var body: [UInt8]?
        var line: [UInt8] = []
        var offset = 0
        while offset <= text.count {
            line.removeAll(keepingCapacity: true)
            while offset < text.count, text[offset] != 10 {
                let byte = text[offset]
                if byte != 13, byte != 32, byte != 9 { line.append(byte) }
                offset += 1
            }
            offset += 1
            if body == nil, line.first != UInt8(ascii: "-") { continue }
            if line.first == UInt8(ascii: "-"), line == begin {
                guard body == nil else { throw KeyError(.malformed, "PEM: a block inside a block") }
                guard blocks.count < limit else {
                    throw KeyError(.malformed, "PEM: over \(limit) blocks")
                }
                body = []
            } else if line.first == UInt8(ascii: "-"), line == end {
                guard let finished = body, let bytes = Base64.decode(finished) else {
                    throw KeyError(.malformed, "PEM: the \(label) block is not base64")
                }
                blocks.append(bytes)
                body = nil
            } else if body != nil {
                body?.append(contentsOf: line)
            }
        }
        guard body == nil else { throw KeyError(.malformed, "PEM: the \(label) block has no end") }
        return blocks
    }

    /// One block labelled `label`, in lines of 64 characters.
    public static func encode(_ bytes: [UInt8], label: String) -> String {
        let characters = Array(Base64.encode(bytes).utf8)
        var text = "-----BEGIN \(label)-----\n"
        for start in stride(from: 0, to: characters.count, by: 64) {
            let line = characters[start..<min(start + 64, characters.count)]
            text += String(decoding: line, as: UTF8.self) + "\n"
        }
        return text + "-----END \(label)-----\n"
    }
}

/// Base 64 with padding, RFC 4648 section 4.
public enum Base64 {
    /// The characters for `bytes`, padded.
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            bits <<= UInt32(8 * (3 - group.count))
            for place in 0..<4 {
                let used = place <= group.count
                text.append(used ? alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)] : padding)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of padded characters without line breaks, else `nil`; unused bits must be zero.
    public static func decode(_ characters: [UInt8]) -> [UInt8]? {
        guard characters.count.isMultiple(of: 4) else { return nil }
        let pads = characters.suffix(2).reversed().prefix { $0 == padding }.count
        return decode(characters[..<(characters.count - pads)], values)
    }

    // Four characters are three bytes; of two or three at the end, the bits left over are zero.
    private static func decode(_ characters: ArraySlice<UInt8>, _ values: [UInt8]) -> [UInt8]? {
        guard characters.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 4 * 3 + 2)
        var bits: UInt32 = 0
        var held = 0
        for character in characters {
            let value = values[Int(character)]
            guard value < 64 else { return nil }
            bits = bits << 6 | UInt32(value)
            held += 6
            guard held >= 8 else { continue }
            held -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
        }
        guard bits & (1 << UInt32(held) - 1) == 0 else { return nil }
        return bytes
    }

    /// The characters for `bytes` in the alphabet for URLs, without padding.
    public static func encode(url bytes: [UInt8]) -> String {
        encode(bytes).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// The bytes of characters in the alphabet for URLs, without padding (RFC 4648 section 5,
    /// RFC 7515 section 2), else `nil`.
    public static func decode(url text: String) -> [UInt8]? {
        decode(url: Array(text.utf8)[...])
    }

    /// The same of a text's bytes.
    public static func decode(url characters: ArraySlice<UInt8>) -> [UInt8]? {
        decode(characters, urlValues)
    }

    private static let padding = UInt8(ascii: "=")
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )
    // The value of each character; 64 and up for those that are none.
    private static let values = table(alphabet)
    private static let urlValues = table(
        alphabet.dropLast(2) + [UInt8(ascii: "-"), UInt8(ascii: "_")])

    private static func table(_ alphabet: [UInt8]) -> [UInt8] {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }
}
