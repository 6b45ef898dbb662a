internal import RATS

/// Rows under headings, each column as wide as what is in it, for a terminal.
struct Columns {
    /// One cell. Its text may be a stranger's: what would move a cursor or turn a line round is
    /// replaced, and it is cut.
    struct Cell {
        let text: String
        let colour: Screen.Colour?

        init(_ text: String, _ colour: Screen.Colour? = nil, limit: Int = Cell.limit) {
            self.text = Refusal.printable(text, limit: limit)
            self.colour = colour
        }

        /// Columns of a name: most models' names have fewer.
        static let limit = 40
    }

    private let headings: [String]
    private let rightAligned: Set<Int>
    private var rows: [[Cell]] = []

    /// `numbers` are headings whose cells stand to the right.
    init(_ headings: [String], numbers: Set<String>) {
        self.headings = headings
        rightAligned = Set(headings.indices.filter { numbers.contains(headings[$0]) })
    }

    /// Adds a row; a shorter one than the headings ends in a text of any width.
    mutating func add(_ row: [Cell]) { rows.append(row) }

    func lines(on screen: Screen, atMost limit: Int) -> [String] {
        var widths = headings.map(\.count)
        for row in rows where row.count == headings.count {
            for (index, cell) in row.enumerated() {
                widths[index] = max(widths[index], cell.text.count)
            }
        }
        for row in rows where row.count < headings.count {
            for (index, cell) in row.dropLast().enumerated() {
                widths[index] = max(widths[index], cell.text.count)
            }
        }
        let head = line(headings.map { Cell($0, .bold) }, widths, screen)
        let shown = rows.prefix(max(0, limit - 1))
        return [head] + shown.map { line($0, widths, screen) }
    }

    private func line(_ row: [Cell], _ widths: [Int], _ screen: Screen) -> String {
        var output = ""
        var left = screen.columns ?? .max
        for (index, cell) in row.enumerated() {
            let isLast = index == row.count - 1
            let isOpen = isLast && row.count < headings.count
            let blanks = String(
                repeating: " ", count: isOpen ? 0 : max(0, widths[index] - cell.text.count))
            let isRight = rightAligned.contains(index) && !isOpen
            let gap = index == 0 ? "" : "  "
            let before = String((gap + (isRight ? blanks : "")).prefix(left))
            left -= before.count
            let text = String(cell.text.prefix(left))
            left -= text.count
            let after = String((isRight || isLast ? "" : blanks).prefix(left))
            left -= after.count
            output += before + screen.paint(text, cell.colour) + after
        }
        return output
    }
}
