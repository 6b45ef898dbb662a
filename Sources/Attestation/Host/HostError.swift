internal import RATS

#if canImport(Glibc)
    internal import Glibc
#endif

/// A call of the system that failed.
struct HostError: Error, Equatable {
    /// What was attempted, with the path.
    let action: String
    /// errno.
    let code: Int32

    /// The C library's words for the number.
    var words: String {
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe "\(String(cString: text)) (errno \(code))"
    }

    /// Whether the same call may work a moment later: another quote is under way, or a signal came.
    var isPassing: Bool { code == EBUSY || code == EINTR || code == EAGAIN }

    /// The refusal for whoever asked for Evidence of `format`.
    func refusal(_ format: EvidenceFormat, remedy: String = HostError.remedy) -> Refusal {
        Refusal(
            "\(format.rawValue).unavailable",
            .attestation,
            kind: format.rawValue,
            field: action,
            expected: "the kernel to answer",
            got: words,
            remedy: remedy
        )
    }

    /// EINVAL: an answer that makes no sense.
    static let invalid = EINVAL

    static let remedy = "see `ratel doctor`; check that the interface is there for this user"

    /// Throws what errno says.
    static func last(_ action: String) -> HostError { HostError(action: action, code: errno) }
}
