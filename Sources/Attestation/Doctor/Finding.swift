public import Keys

/// What was found at one interface.
public struct Finding: Sendable, Equatable {
    /// How useful the interface is.
    public enum State: String, Sendable, CaseIterable {
        /// It is there, and Ratel attests with it.
        case usable
        /// It is there, but something keeps it from working.
        case unusable
        /// It is there, and this version of Ratel cannot attest with it.
        case unsupported
        /// It is not there.
        case absent
    }

    /// What people call the interface.
    public let interface: String
    /// Path or TCTI.
    public let place: String
    /// How useful it is.
    public let state: State
    /// Why, in words.
    public let detail: String
    /// How long each trial quote took.
    public let quoteMilliseconds: [Double]

    init(
        interface: String,
        place: String,
        state: State,
        detail: String,
        quoteMilliseconds: [Double] = []
    ) {
        self.interface = interface
        self.place = place
        self.state = state
        self.detail = detail
        self.quoteMilliseconds = quoteMilliseconds
    }

    /// The middle one of the trial quotes, with one decimal; `nil` if there was none.
    public var quoteTime: String? {
        guard !quoteMilliseconds.isEmpty else { return nil }
        let middle = quoteMilliseconds.sorted()[quoteMilliseconds.count / 2]
        let tenths = Int((middle * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
    }

    /// Name and text for a table: the interface, then everything else in one line.
    public var row: (name: String, text: String) {
        var parts = [state.rawValue]
        if !place.isEmpty { parts.append(place) }
        parts.append(detail)
        if let quoteTime { parts.append("\(quoteTime) per quote") }
        return (interface, parts.joined(separator: ": "))
    }

    /// An object with every part.
    public var json: JSONValue {
        .members([
            ("interface", .string(interface)), ("place", .string(place)),
            ("state", .string(state.rawValue)), ("detail", .string(detail)),
            ("quote_ms", .array(quoteMilliseconds.map { .number("\($0)") })),
        ])
    }
}
