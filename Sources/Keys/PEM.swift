/// Textual encoding of certificates and keys, RFC 7468, read strictly.
public enum PEM {
    /// The bytes of every block labelled `label`, in order, at most `limit`.
    ///
    /// Errors: `malformed` for a block that is not closed or not base64. Text between blocks is
    /// allowed, as RFC 7468 section 5.2 does for explanatory text.
    public static func decode(
        _ text: String, label: String, limit: Int = .max
    ) throws(KeyError) -> [[UInt8]] {
        var blocks: [[UInt8]] = []
        var body: [UInt8]?
        let lines = text.utf8.split(omittingEmptySubsequences: false) { $0 == 10 }
        for line in lines {
            let trimmed = String(
                decoding: line.filter { $0 != 13 && $0 != 32 && $0 != 9 },
                as: UTF8.self
            )
            let squeezed = label.filter { $0 != " " }
            if trimmed == "-----BEGIN\(squeezed)-----" {
                guard body == nil else { throw KeyError(.malformed, "PEM: a block inside a block") }
                body = []
            } else if trimmed == "-----END\(squeezed)-----" {
                guard let finished = body, let bytes = Base64.decode(finished) else {
                    throw KeyError(.malformed, "PEM: the \(label) block is not base64")
                }
                guard blocks.count < limit else {
                    throw KeyError(.malformed, "PEM: over \(limit) blocks")
                }
                blocks.append(bytes)
                body = nil
            } else if body != nil {
                body?.append(contentsOf: trimmed.utf8)
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
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: characters.count, by: 4) {
            var group = Array(characters[start..<start + 4])
            let last = start + 4 == characters.count
            var pads = 0
            while last, pads < 2, group.last == padding {
                group.removeLast()
                pads += 1
            }
            var bits: UInt32 = 0
            for character in group {
                guard let value = values[character] else { return nil }
                bits = bits << 6 | UInt32(value)
            }
            bits <<= UInt32(6 * pads)
            let unused: UInt32 = pads == 2 ? 0xFFFF : pads == 1 ? 0xFF : 0
            guard bits & unused == 0 else { return nil }
            for place in 0..<(3 - pads) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(16 - 8 * place)))
            }
        }
        return bytes
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
    private static let values = Dictionary(
        uniqueKeysWithValues: alphabet.enumerated().map { ($1, UInt8($0)) }
    )
}
