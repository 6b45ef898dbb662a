/// The fields of a head in their order, with names as they were written.
///
/// Names compare without case (RFC 9110 section 5.1); values are bytes, obs-text included. All
/// bytes lie in one array, so a head costs two allocations however many fields it has.
public struct HTTPFields: Sendable {
    struct Entry: Sendable {
        var name: Range<Int>
        var value: Range<Int>
    }

    var storage: [UInt8] = []
    var entries: [Entry] = []

    /// No fields.
    public init() {}

    /// Whether a field can have this name: a token of RFC 9110 section 5.6.2.
    public static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { Grammar.isToken($0) }
    }

    /// The number of field lines.
    public var count: Int { entries.count }

    /// Adds a field line at the end.
    ///
    /// `name` has to be a token, which is checked: names are written in code. Control characters in
    /// `value` become spaces, as RFC 9110 section 5.5 allows, so a value cannot end its line.
    public mutating func append(_ name: String, _ value: String) {
        append(name, Array(value.utf8))
    }

    /// Adds a field line at the end, with a value of any bytes.
    public mutating func append(_ name: String, _ value: [UInt8]) {
        precondition(!name.isEmpty && name.utf8.allSatisfy(Grammar.isToken), "a name is a token")
        let start = storage.count
        storage.append(contentsOf: name.utf8)
        let middle = storage.count
        for byte in value { storage.append(Grammar.isFieldText(byte) ? byte : 0x20) }
        entries.append(Entry(name: start..<middle, value: middle..<storage.count))
    }

    /// Makes `value` the only value of the field, in the place of its first line or at the end.
    public mutating func set(_ name: String, _ value: String) {
        guard let first = entries.firstIndex(where: { matches($0, name) }) else {
            append(name, value)
            return
        }
        append(name, value)
        let entry = entries.removeLast()
        entries[first] = entry
        let kept = entries[first...].dropFirst().filter { !matches($0, name) }
        entries.replaceSubrange((first + 1)..., with: kept)
    }

    /// Removes every line of the field.
    public mutating func removeAll(named name: String) {
        entries = entries.filter { !matches($0, name) }
    }

    /// The value of the field's first line; bytes that are not UTF-8 become U+FFFD.
    public func firstValue(named name: String) -> String? {
        for entry in entries where matches(entry, name) { return text(entry.value) }
        return nil
    }

    /// The value of each of the field's lines; bytes that are not UTF-8 become U+FFFD.
    public func values(named name: String) -> [String] {
        entries.filter { matches($0, name) }.map { text($0.value) }
    }

    /// Whether the field has a line.
    public func contains(named name: String) -> Bool {
        entries.contains { matches($0, name) }
    }

    /// Whether one member of the comma-separated list that the field's lines make is `token`,
    /// without case.
    public func contains(named name: String, token: String) -> Bool {
        var found = false
        forEachMember(of: name) { range in
            if equals(range, token) { found = true }
        }
        return found
    }
}

extension HTTPFields: Sequence {
    /// One field line.
    public struct Field: Sendable, Equatable {
        /// The name as it was written.
        public let name: String
        /// The value's bytes, without the blanks around it.
        public let value: [UInt8]
    }

    /// Walks the lines in their order.
    public struct Iterator: IteratorProtocol {
        let fields: HTTPFields
        var index = 0

        public mutating func next() -> Field? {
            guard index < fields.entries.count else { return nil }
            let entry = fields.entries[index]
            index += 1
            return Field(
                name: fields.text(entry.name),
                value: Array(fields.storage[entry.value])
            )
        }
    }

    public func makeIterator() -> Iterator { Iterator(fields: self) }
}

extension HTTPFields {
    func matches(_ entry: Entry, _ name: String) -> Bool { equals(entry.name, name) }

    /// Whether the bytes in `range` are `text`, without case.
    func equals(_ range: Range<Int>, _ text: String) -> Bool {
        guard range.count == text.utf8.count else { return false }
        var index = range.lowerBound
        for byte in text.utf8 {
            if Grammar.lower(storage[index]) != Grammar.lower(byte) { return false }
            index += 1
        }
        return true
    }

    func hasPrefix(_ range: Range<Int>, _ prefix: String) -> Bool {
        let count = prefix.utf8.count
        guard range.count >= count else { return false }
        return equals(range.lowerBound..<range.lowerBound + count, prefix)
    }

    func text(_ range: Range<Int>) -> String { String(decoding: storage[range], as: UTF8.self) }

    /// Calls `body` with each member of the field's list, blanks around it removed, empty members
    /// included.
    func forEachMember<Failure: Error>(
        of name: String,
        _ body: (Range<Int>) throws(Failure) -> Void
    ) throws(Failure) {
        for entry in entries where matches(entry, name) {
            var start = entry.value.lowerBound
            let end = entry.value.upperBound
            while true {
                var comma = start
                while comma < end && storage[comma] != UInt8(ascii: ",") { comma += 1 }
                try body(trimmed(start..<comma))
                if comma == end { break }
                start = comma + 1
            }
        }
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper && Grammar.isBlank(storage[lower]) { lower += 1 }
        while lower < upper && Grammar.isBlank(storage[upper - 1]) { upper -= 1 }
        return lower..<upper
    }

    /// Adds a line whose name and value were checked while it was read.
    mutating func appendParsed(_ bytes: Span<UInt8>, name: Range<Int>, value: Range<Int>) {
        let start = storage.count
        for index in name { storage.append(bytes[index]) }
        let middle = storage.count
        for index in value { storage.append(bytes[index]) }
        entries.append(Entry(name: start..<middle, value: middle..<storage.count))
    }

    /// Writes every line with its CRLF.
    func serialise(into output: inout [UInt8]) {
        for entry in entries {
            output.append(contentsOf: storage[entry.name])
            output.append(contentsOf: [0x3A, 0x20])
            output.append(contentsOf: storage[entry.value])
            output.append(contentsOf: [0x0D, 0x0A])
        }
    }
}
