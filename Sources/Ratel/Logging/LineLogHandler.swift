public import Logging
internal import Loop
internal import Streams

/// Writes log lines to standard error, as text for people or JSON for machines.
///
/// What is logged is chosen by its callers; none of them passes a body, a prompt, a key or a
/// header's value.
public struct LineLogHandler: LogHandler {
    /// How a line looks.
    public enum Format: String, Sendable, CaseIterable {
        case text, json
    }

    public var metadata: Logger.Metadata = [:]
    public var logLevel: Logger.Level
    private let format: Format
    private let label: String

    /// Makes a handler for the part of the program that `label` names.
    public init(label: String, format: Format, level: Logger.Level) {
        self.label = label
        self.format = format
        logLevel = level
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
            .sorted { $0.key < $1.key }
            .map { ($0.key, "\($0.value)") }
        let message = "\(event.message)"
        switch format {
        case .text:
            let pairs = fields.map { " \($0.0)=\(LineLogHandler.plain($0.1))" }.joined()
            System.writeError("\(System.timestamp) \(event.level) \(label): \(message)\(pairs)")
        case .json:
            let all =
                [
                    ("time", System.timestamp), ("level", "\(event.level)"), ("part", label),
                    ("message", message),
                ] + fields
            let pairs = all.map { Failure.quoted($0.0) + ":" + Failure.quoted($0.1) }
            System.writeError("{" + pairs.joined(separator: ",") + "}")
        }
    }

    /// Quotes a value that has spaces, so that a line can be cut at them.
    private static func plain(_ text: String) -> String {
        let isBare = !text.isEmpty && !text.utf8.contains { $0 <= 0x20 || $0 == 0x22 || $0 == 0x7F }
        return isBare ? text : Failure.quoted(text)
    }
}
