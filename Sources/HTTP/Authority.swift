/// The grammar of a `Host` value, `uri-host [ ":" port ]`, RFC 9110 section 7.2.
///
/// Narrower than RFC 3986 section 3.2.2: sub-delimiters and percent-encoding are refused in names,
/// since no host name in use has them and each is read differently by someone.
enum Authority {
    static func isValid(_ value: ArraySlice<UInt8>) -> Bool {
        guard let first = value.first else { return false }
        if first == UInt8(ascii: "[") {
            guard let close = value.firstIndex(of: UInt8(ascii: "]")) else { return false }
            let address = value[value.index(after: value.startIndex)..<close]
            return isIPv6(address) && isPort(value[value.index(after: close)...])
        }
        let colon = value.firstIndex(of: UInt8(ascii: ":")) ?? value.endIndex
        let name = value[..<colon]
        // 255: the longest DNS name, RFC 1035 section 2.3.4.
        guard !name.isEmpty, name.count <= 255, name.allSatisfy(isNameCharacter) else {
            return false
        }
        return isPort(value[colon...])
    }

    private static func isNameCharacter(_ byte: UInt8) -> Bool {
        Grammar.isAlphanumeric(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
            || byte == 0x7E
    }

    /// Nothing, or a colon and a number up to 65535.
    private static func isPort(_ value: ArraySlice<UInt8>) -> Bool {
        guard let colon = value.first else { return true }
        let digits = value.dropFirst()
        guard colon == UInt8(ascii: ":"), (1...5).contains(digits.count),
            digits.allSatisfy(Grammar.isDigit)
        else { return false }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 65535
    }

    /// `IPv6address` of RFC 3986 section 3.2.2: eight groups, or fewer around one `::`; the last
    /// two may be an IPv4 address.
    private static func isIPv6(_ value: ArraySlice<UInt8>) -> Bool {
        // 45: the longest text form, INET6_ADDRSTRLEN without its NUL.
        guard value.count >= 2, value.count <= 45 else { return false }
        let parts = value.split(separator: 0x3A, omittingEmptySubsequences: false)
        var groups = 0
        var gaps = 0
        for (index, part) in parts.enumerated() {
            if part.isEmpty {
                let isEdge = index == 0 || index == parts.count - 1
                // "::" at an edge splits into two empty parts: one of them is the edge's.
                if isEdge {
                    let neighbour = index == 0 ? parts[1] : parts[index - 1]
                    guard neighbour.isEmpty, parts.count > 2 else { return false }
                } else {
                    gaps += 1
                }
            } else if index == parts.count - 1 && part.contains(0x2E) {
                guard isIPv4(part) else { return false }
                groups += 2
            } else {
                guard part.count <= 4, part.allSatisfy({ Grammar.hexValue($0) != nil }) else {
                    return false
                }
                groups += 1
            }
        }
        return gaps == 0 ? groups == 8 : gaps == 1 && groups <= 7
    }

    private static func isIPv4(_ value: ArraySlice<UInt8>) -> Bool {
        let parts = value.split(separator: 0x2E, omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.allSatisfy(Grammar.isDigit)
                    && part.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 255
            }
    }
}
