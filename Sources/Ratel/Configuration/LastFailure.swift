internal import Bytes

/// Has what fails each second be told once: a file that is looked at again and again, and is
/// broken, is news only when it is broken otherwise.
final class LastFailure: Sendable {
    private let last = Locked<String?>(nil)

    /// It failed for this reason; answers whether a person should hear of it, as whoever asked
    /// always does.
    func isToTell(_ why: String, isAsked: Bool) -> Bool {
        let isNew = last.withLock { last in
            defer { last = why }
            return last != why
        }
        return isNew || isAsked
    }

    /// It works.
    func clear() { last.withLock { $0 = nil } }
}
