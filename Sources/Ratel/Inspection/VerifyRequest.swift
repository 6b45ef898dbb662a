internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// What a person asks of `ratel verify`.
public struct VerifyRequest: Sendable {
    /// HOST:PORT, a file or a folder.
    public var subject: String
    /// The file of the policy; may be nil only with `authenticityOnly`.
    public var policy: String?
    /// Hexadecimal: what the Evidence must cover.
    public var nonce: String?
    /// Whether Evidence is taken whatever it covers.
    public var anyNonce: Bool
    /// Whether the policy on measurements is left out.
    public var authenticityOnly: Bool
    /// The time of the appraisal, RFC 3339 or Unix seconds; now where nil.
    public var time: String?
    /// Files with anchors beside the vendors' roots.
    public var roots: [String]
    /// JSON in place of a table.
    public var json: Bool

    /// Collects what was asked.
    public init(
        subject: String, policy: String?, nonce: String? = nil, anyNonce: Bool = false,
        authenticityOnly: Bool = false, time: String? = nil, roots: [String] = [],
        json: Bool = false
    ) {
        self.subject = subject
        self.policy = policy
        self.nonce = nonce
        self.anyNonce = anyNonce
        self.authenticityOnly = authenticityOnly
        self.time = time
        self.roots = roots
        self.json = json
    }

    /// The time of the appraisal; throws when it cannot be read.
    func now() throws(UnusableInput) -> Int64 {
        guard let time else { return System.now }
        if let seconds = Int64(time), seconds >= 0 { return seconds }
        guard let parsed = UTCTime.parse(time) else {
            throw UnusableInput("--at \(time): expected 2026-11-24T12:00:00Z or Unix seconds")
        }
        return parsed
    }

    /// The anchors of `--root`.
    func anchors() throws(UnusableInput) -> TrustAnchors {
        var anchors = TrustAnchors()
        for path in roots {
            // A bundle of every manufacturer's roots has below 100 KiB.
            guard let bytes = System.readFile(path, limit: 1 << 20) else {
                throw UnusableInput("--root \(path): cannot be read")
            }
            do throws(Refusal) {
                try anchors.add(bytes)
            } catch {
                throw UnusableInput("--root \(path): \(error)")
            }
        }
        return anchors
    }

    /// The bytes of `--nonce`, 1 to 64.
    func expectedBytes() throws(UnusableInput) -> [UInt8]? {
        guard let nonce else { return nil }
        guard let bytes = Hex.decode(nonce), (1...64).contains(bytes.count) else {
            throw UnusableInput("--nonce \(nonce): expected 2 to 128 hexadecimal digits")
        }
        return bytes
    }
}

/// Something that no appraisal can be made of: the exit status is 2, not 1.
struct UnusableInput: Error {
    let text: String

    init(_ text: String) { self.text = text }

    var finding: Inspector.Finding {
        Inspector.Finding(notice: "ratel: \(text)\n", status: 2)
    }
}
