internal import Bytes

/// How often each refusal happened, by its code.
final class RefusalCounts: Sendable {
    /// Codes are the program's own words; the cap only guards against a mistake that makes them
    /// up from input.
    private static let maximumCodes = 512

    private let counts = Locked<[String: Int]>([:])

    func count(_ code: String) {
        counts.withLock { counts in
            guard counts[code] != nil || counts.count < RefusalCounts.maximumCodes else { return }
            counts[code, default: 0] += 1
        }
    }

    var snapshot: [(String, Int)] {
        counts.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }
    }
}
