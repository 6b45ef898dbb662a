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
            if line.first == UInt8(ascii: "-"), line == begin {
                guard body == nil else { throw KeyError(.malformed, "PEM: a block inside a block") }
                body = []
            } else if line.first == UInt8(ascii: "-"), line == end {
                guard let finished = body, let bytes = Base64.decode(finished) else {
                    throw KeyError(.malformed, "PEM: the \(label) block is not base64")
                }
                guard blocks.count < limit else {
                    throw KeyError(.malformed, "PEM: over \(limit) blocks")
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
        var pads = 0
        while pads < 2, pads < characters.count, characters[characters.count - 1 - pads] == padding
        {
            pads += 1
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(characters.count / 4 * 3)
        for start in stride(from: 0, to: characters.count, by: 4) {
            let isLast = start + 4 == characters.count
            let missing = isLast ? pads : 0
            var bits: UInt32 = 0
            for character in characters[start..<start + 4 - missing] {
                let value = values[Int(character)]
                guard value < 64 else { return nil }
                bits = bits << 6 | UInt32(value)
            }
            bits <<= UInt32(6 * missing)
            let unused: UInt32 = missing == 2 ? 0xFFFF : missing == 1 ? 0xFF : 0
            guard bits & unused == 0 else { return nil }
            for place in 0..<(3 - missing) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * place)))
            }
        }
        return bytes
    }

    /// The characters for `bytes` in the alphabet for URLs, without padding.
    public static func encode(url bytes: [UInt8]) -> String {
        encode(bytes).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// The bytes of characters in the alphabet for URLs, without padding (RFC 4648 section 5,
    /// RFC 7515 section 2), else `nil`.
    public static func decode(url text: String) -> [UInt8]? {
        var characters = Array(text.utf8)
        guard !characters.contains(UInt8(ascii: "+")), !characters.contains(UInt8(ascii: "/")),
            !characters.contains(padding)
        else { return nil }
        for (index, character) in characters.enumerated() {
            switch character {
            case UInt8(ascii: "-"): characters[index] = UInt8(ascii: "+")
            case UInt8(ascii: "_"): characters[index] = UInt8(ascii: "/")
            default: continue
            }
        }
        while !characters.count.isMultiple(of: 4) { characters.append(padding) }
        return decode(characters)
    }

    private static let padding = UInt8(ascii: "=")
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )
    // The value of each character; 64 and up for those that are none.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
