/// Reads distinguished names as `Certificate` writes them: RFC 2253, one line.
enum DistinguishedName {
    /// The value of the only CN; `nil` if there is none, or more than one, or one with escapes.
    static func commonName(_ name: String) -> String? {
        guard !name.contains("\\"), !name.contains("+") else { return nil }
        let values = name.split(separator: ",").filter { $0.hasPrefix("CN=") }
        return values.count == 1 ? String(values[0].dropFirst(3)) : nil
    }
}
