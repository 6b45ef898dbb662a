import Glibc

/// What tests of threads share.
@safe
final class Mutex: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() { unsafe pthread_mutex_init(mutex, nil) }

    deinit { unsafe mutex.deallocate() }

    func lock() { unsafe pthread_mutex_lock(mutex) }

    func unlock() { unsafe pthread_mutex_unlock(mutex) }

    func locked<Result>(_ body: () -> Result) -> Result {
        lock()
        defer { unlock() }
        return body()
    }
}

/// What was answered, in order.
final class Answers<Answer: Sendable>: @unchecked Sendable {
    private let mutex = Mutex()
    private var answers: [Answer] = []

    var all: [Answer] { mutex.locked { answers } }

    func add(_ answer: Answer) { mutex.locked { answers.append(answer) } }
}
