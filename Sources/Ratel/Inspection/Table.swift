/// Rows of two columns for a terminal: values longer than the line are folded under themselves.
public struct Table: Sendable {
    /// Columns of the usual terminal.
    private static let width = 100

    private var rows: [(String, String)] = []

    /// An empty table.
    public init() {}

    /// Appends a row.
    public mutating func row(_ name: String, _ value: String) {
        rows.append((name, value))
    }

    /// Appends a heading.
    public mutating func heading(_ text: String) {
        rows.append((text, ""))
    }

    /// The table as lines of text.
    public var text: String {
        let names = rows.filter { !$0.1.isEmpty }.map { $0.0.count }
        let indent = min(names.max() ?? 0, 32) + 4
        return rows.map { name, value in
            guard !value.isEmpty else { return name + "\n" }
            let gap = String(repeating: " ", count: max(1, indent - 2 - name.count))
            let lines = Table.fold(value, to: max(24, Table.width - indent))
            let margin = "\n" + String(repeating: " ", count: indent)
            return "  " + name + gap + lines.joined(separator: margin) + "\n"
        }.joined()
    }

    private static func fold(_ text: String, to width: Int) -> [String] {
        var lines: [String] = []
        var rest = Substring(text)
        while rest.count > width {
            let limit = rest.index(rest.startIndex, offsetBy: width)
            // Break at a space where there is one; digests are cut anywhere.
            let cut = rest[..<limit].lastIndex(of: " ").map { rest.index(after: $0) } ?? limit
            let line = rest[..<cut]
            lines.append(String(line.last == " " ? line.dropLast() : line))
            rest = rest[cut...]
        }
        lines.append(String(rest))
        return lines
    }
}
