internal import Keys
internal import RATS

/// The members of one object of a caller's preferences, which all may be absent or null.
struct PreferenceFields {
    /// Which of several bounds is the tightest.
    enum Tightest { case min, max }

    private let members: [JSONValue.Member]
    private let place: String

    init(_ value: JSONValue?, at place: String) throws(Refusal) {
        self.place = place
        switch value {
        case nil, .null: members = []
        case .object(let found): members = found
        case .some(let other):
            throw PreferenceFields.wrongType(place, "an object", other)
        }
    }

    var names: [String] { members.map(\.name) }

    /// Refuses any other name.
    func allowOnly(_ allowed: [String]) throws(Refusal) {
        for name in names where !allowed.contains(name) {
            throw Refusal(
                "request.provider.unknown", .configuration, field: "\(place).\(name)",
                expected: allowed.joined(separator: ", "), got: name,
                remedy: "correct the name: what is demanded by a name that nobody knows is not done"
            )
        }
    }

    func isObject(_ name: String) -> Bool { value(name)?.members != nil }

    func object(_ name: String) throws(Refusal) -> PreferenceFields {
        try PreferenceFields(value(name), at: "\(place).\(name)")
    }

    func flag(_ name: String) throws(Refusal) -> Bool? {
        switch value(name) {
        case nil: return nil
        case .bool(let flag): return flag
        case .some(let other): throw wrongType(name, "true or false", other)
        }
    }

    func word(_ name: String, _ words: [String]) throws(Refusal) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.text else {
            throw wrongType(name, words.joined(separator: " or "), value)
        }
        guard words.contains(text) else {
            throw wrongValue(name, words.joined(separator: " or "), text)
        }
        return text
    }

    /// A list of names of 1 to 128 bytes, which is twice the longest name that a provider may
    /// have.
    func names(_ name: String) throws(Refusal) -> [String] {
        guard let value = value(name) else { return [] }
        guard let items = value.items else { throw wrongType(name, "a list of names", value) }
        guard items.count <= ProviderPreferences.maxNames else {
            throw wrongValue(
                name, "at most \(ProviderPreferences.maxNames) names", "\(items.count)")
        }
        var names: [String] = []
        for (index, item) in items.enumerated() {
            guard let text = item.text else { throw wrongType("\(name)[\(index)]", "a name", item) }
            guard (1...128).contains(text.utf8.count) else {
                throw wrongValue(
                    "\(name)[\(index)]", "1 to 128 bytes", "\(text.utf8.count) bytes")
            }
            names.append(text)
        }
        return names
    }

    func integer(_ name: String) throws(Refusal) -> Int64? {
        guard let value = value(name) else { return nil }
        guard case .number = value else { throw wrongType(name, "a whole number", value) }
        guard let number = value.integer, (0...Int(Int32.max)).contains(number) else {
            throw wrongValue(name, "a whole number, 0 to \(Int32.max)", value.serialised())
        }
        return Int64(number)
    }

    /// A number of at least 0, in thousand-millionths, written as a number or, as prices often
    /// are, as a string; what is finer is dropped.
    func decimal(_ name: String) throws(Refusal) -> Int64? {
        let text: String
        switch value(name) {
        case nil: return nil
        case .number(let written): text = written
        case .string(let written): text = written
        case .some(let other): throw wrongType(name, "a number", other)
        }
        guard let billionths = Decimal.billionths(text) else {
            throw wrongValue(name, "a number from 0 to \(Decimal.max), as 0.25", text)
        }
        return billionths
    }

    /// A number, or an object with a number for each of some percentiles: the tightest of these,
    /// since it is means that are measured here. In thousand-millionths.
    func bound(_ name: String, tightest: Tightest) throws(Refusal) -> Int64? {
        guard isObject(name) else { return try decimal(name) }
        let inner = try object(name)
        let percentiles = ["p50", "p75", "p90", "p99"]
        try inner.allowOnly(percentiles)
        var bounds: [Int64] = []
        for percentile in percentiles {
            if let bound = try inner.decimal(percentile) { bounds.append(bound) }
        }
        return tightest == .min ? bounds.min() : bounds.max()
    }

    // Null is what SDKs write for what was not set.
    private func value(_ name: String) -> JSONValue? {
        let found = members.first { $0.name == name }?.value
        return found == .null ? nil : found
    }

    private func wrongType(_ name: String, _ expected: String, _ got: JSONValue) -> Refusal {
        PreferenceFields.wrongType("\(place).\(name)", expected, got)
    }

    private static func wrongType(_ field: String, _ expected: String, _ got: JSONValue) -> Refusal
    {
        Refusal(
            "request.provider.type", .configuration, field: field, expected: expected,
            got: got.serialised(), remedy: "correct the request")
    }

    private func wrongValue(_ name: String, _ expected: String, _ got: String) -> Refusal {
        Refusal(
            "request.provider.value", .configuration, field: "\(place).\(name)",
            expected: expected, got: got, remedy: "correct the request")
    }
}

/// Numbers with a point, in whole thousand-millionths: prices are compared without rounding.
enum Decimal {
    /// The largest that is read: what is a million dollars for a token is no bound.
    static let max: Int64 = 1_000_000

    /// Reads `12`, `0.25` or `1e-3`; nil for what is negative, larger than `max`, or no number.
    static func billionths(_ text: String) -> Int64? {
        let parts = text.split(separator: "e", omittingEmptySubsequences: false)
        let small =
            parts.count == 1
            ? text.split(separator: "E", omittingEmptySubsequences: false)
            : parts
        guard small.count <= 2, let mantissa = small.first else { return nil }
        var exponent = 9
        if small.count == 2 {
            // An exponent of three digits is beyond all that is read.
            guard small[1].utf8.count <= 3, let written = Int(small[1]) else { return nil }
            exponent += written
        }
        let halves = mantissa.split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count <= 2, let whole = halves.first, !whole.isEmpty else { return nil }
        let fraction = halves.count == 2 ? halves[1] : ""
        guard halves.count == 1 || !fraction.isEmpty else { return nil }
        exponent -= fraction.utf8.count
        return scaled(Array(whole.utf8) + Array(fraction.utf8), exponent)
    }

    private static func scaled(_ digits: [UInt8], _ exponent: Int) -> Int64? {
        // 32 digits are more than any price has.
        guard digits.count <= 32 else { return nil }
        var value: Int128 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int128(digit - UInt8(ascii: "0"))
        }
        let limit = Int128(max) * 1_000_000_000
        for _ in 0..<abs(exponent) where value > 0 {
            value = exponent > 0 ? value * 10 : value / 10
            guard exponent < 0 || value <= limit else { return nil }
        }
        return value <= limit ? Int64(value) : nil
    }
}
