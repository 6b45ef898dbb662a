internal import Keys
internal import RATS

/// The members of a JSON object, read strictly: each is required, and none beside them is there.
struct StatementFields {
    private let members: [String: JSONValue]
    private let place: String

    /// Opens `value`, which stands at `place`, with exactly these names; `optional` may be absent.
    init(
        _ value: JSONValue?, at place: String, _ names: [String], optional: [String] = []
    ) throws(Refusal) {
        self.place = place
        guard let found = value?.members else {
            throw StatementFields.refusal(place, "an object", "something else")
        }
        var members: [String: JSONValue] = [:]
        for member in found {
            guard names.contains(member.name) || optional.contains(member.name),
                members.updateValue(member.value, forKey: member.name) == nil
            else {
                throw StatementFields.refusal(
                    place, (names + optional).joined(separator: ", "), member.name)
            }
        }
        for name in names where members[name] == nil {
            throw StatementFields.refusal("\(place).\(name)", "a value", "none")
        }
        self.members = members
    }

    func value(_ name: String) -> JSONValue? { members[name] }

    /// Text of 1 to 256 bytes: identifiers, names of models, regions.
    func text(_ name: String) throws(Refusal) -> String {
        guard let text = members[name]?.text, (1...256).contains(text.utf8.count) else {
            throw refusal(name, "text of 1 to 256 bytes")
        }
        return text
    }

    /// A whole number within `range`.
    func number(
        _ name: String, _ range: ClosedRange<Int64> = 0...Int64(CanonicalJSON.maxNumber)
    ) throws(Refusal) -> Int64 {
        guard let number = members[name]?.integer, range.contains(Int64(number)) else {
            throw refusal(name, "\(range.lowerBound) to \(range.upperBound)")
        }
        return Int64(number)
    }

    /// The 32 bytes of a SHA-256, in lower-case hexadecimal.
    func digest(_ name: String) throws(Refusal) -> [UInt8] { try bytes(name, 32...32) }

    /// Bytes in lower-case hexadecimal.
    func bytes(_ name: String, _ sizes: ClosedRange<Int>) throws(Refusal) -> [UInt8] {
        guard let text = members[name]?.text, let bytes = Hex.decode(text),
            Hex.encode(bytes) == text, sizes.contains(bytes.count)
        else {
            throw refusal(
                name, "\(sizes.lowerBound) to \(sizes.upperBound) bytes in lower-case hexadecimal")
        }
        return bytes
    }

    func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Word.Type
    ) throws(Refusal) -> Word where Word.RawValue == String {
        guard let text = members[name]?.text, let word = Word(rawValue: text) else {
            throw refusal(name, Word.allCases.map(\.rawValue).joined(separator: " or "))
        }
        return word
    }

    func items(_ name: String, atMost limit: Int) throws(Refusal) -> [JSONValue] {
        guard let items = members[name]?.items, items.count <= limit else {
            throw refusal(name, "a list of at most \(limit)")
        }
        return items
    }

    private func refusal(_ name: String, _ expected: String) -> Refusal {
        let got = members[name].map { $0.text ?? $0.serialised() } ?? "none"
        return StatementFields.refusal("\(place).\(name)", expected, got)
    }

    static func refusal(_ place: String, _ expected: String, _ got: String) -> Refusal {
        Refusal(
            "receipt.malformed", .evidence, field: place, expected: expected, got: got,
            remedy: "ask whoever wrote it for one as it was signed")
    }
}
