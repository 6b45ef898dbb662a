internal import Appraisal
internal import Bytes
internal import Keys
internal import RATS

/// Results of appraisals by everything that went into them, so that the same Evidence under the
/// same policy is not verified twice: connections that share one quote of a batch, above all.
///
/// The binding to the connection is not part of it and is checked each time before.
public final class AppraisalCache: Sendable {
    private struct Entry: Sendable {
        let result: AttestationResult
        let until: Int64
    }

    /// Results kept: some KiB each, and one for each peer and policy in use.
    private static let capacity = 1_024

    private let entries = Locked<[[UInt8]: Entry]>([:])
    private let counts = Locked<(hits: Int, misses: Int)>((0, 0))

    /// An empty cache.
    public init() {}

    /// How often a result was at hand, and how often it was not.
    public var use: (hits: Int, misses: Int) { counts.withLock { $0 } }

    /// Forgets everything.
    public func removeAll() { entries.withLock { $0 = [:] } }

    func result(_ key: [UInt8], now: Int64) -> AttestationResult? {
        let found = entries.withLock { entries -> AttestationResult? in
            guard let entry = entries[key] else { return nil }
            guard entry.result.appraisedAt <= now, now < entry.until else {
                entries[key] = nil
                return nil
            }
            return entry.result
        }
        counts.withLock {
            if found == nil { $0.misses += 1 } else { $0.hits += 1 }
        }
        return found
    }

    func keep(_ result: AttestationResult, as key: [UInt8]) {
        let until = result.appraisedAt + Int64(result.lifetime(at: result.appraisedAt))
        entries.withLock { entries in
            if entries.count >= AppraisalCache.capacity, entries[key] == nil {
                let oldest = entries.min { $0.value.until < $1.value.until }
                if let oldest { entries[oldest.key] = nil }
            }
            entries[key] = Entry(result: result, until: until)
        }
    }

    /// SHA-384 over every input of an appraisal but the time, each with its length.
    static func key(
        _ submission: Appraiser.Submission, _ expected: Appraiser.ExpectedBinding,
        policy: AppraisalPolicy
    ) -> [UInt8] {
        var text = Writer()
        func append(_ bytes: [UInt8]) {
            text.u32(UInt32(bytes.count))
            text.append(bytes)
        }
        append(policy.digest)
        append(expected.reportData)
        append(expected.tpmQualifyingData)
        append(expected.nitro?.bytes ?? [])
        append(expected.gpuNonces.flatMap(\.self))
        append(submission.configuration)
        text.u32(UInt32(submission.evidence.count))
        for item in submission.evidence {
            append([item.kind.rawValue, UInt8(item.index >> 8), UInt8(item.index & 0xFF)])
            append(Array(item.mediaType.utf8))
            append(item.bytes)
        }
        text.u32(UInt32(submission.endorsements.count))
        for item in submission.endorsements {
            append(Array(item.mediaType.utf8))
            append(item.bytes)
        }
        return Digest.sha384(text.bytes)
    }
}
