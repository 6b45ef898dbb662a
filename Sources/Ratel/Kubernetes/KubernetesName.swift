/// The forms of names in Kubernetes ("Object Names and IDs").
enum KubernetesName {
    /// RFC 1123 labels joined by dots, 253 characters at most.
    static func isSubdomain(_ text: String) -> Bool {
        text.utf8.count <= 253
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(isLabel)
    }

    /// An RFC 1123 label: 1 to 63 lower-case letters, digits and inner hyphens.
    static func isLabel(_ text: some StringProtocol) -> Bool {
        let isPlain = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isPlain && (1...63).contains(text.utf8.count) && !text.hasPrefix("-")
            && !text.hasSuffix("-")
    }
}
