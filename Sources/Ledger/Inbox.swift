internal import Glibc

/// What threads leave for one thread that waits for it.
@safe
final class Inbox<Item: Sendable>: @unchecked Sendable {
    enum Answer {
        case accepted, full, closed
    }

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var items: [Item] = []
    private var isClosed = false
    /// What was taken and is not done: it counts as waiting.
    private var held = 0

    init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        // Waiting for a time must not end early or late where the clock is set.
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Leaves `item` where fewer than `capacity` wait.
    func put(_ item: Item, capacity: Int) -> Answer {
        locked {
            guard !isClosed else { return .closed }
            guard items.count + held < capacity else { return .full }
            items.append(item)
            unsafe pthread_cond_signal(condition)
            return .accepted
        }
    }

    /// Says how many of all that was taken still waits.
    func hold(_ count: Int) { locked { held = count } }

    /// Nothing is taken in any more; what waits is still given out.
    func close() {
        locked {
            isClosed = true
            unsafe pthread_cond_signal(condition)
        }
    }

    /// Up to `limit` items, as soon as there is one; none when `milliseconds` passed before. Nil
    /// once it is closed and empty.
    func take(atMost limit: Int, waiting milliseconds: Int64?) -> [Item]? {
        let end = milliseconds.map(Inbox.time)
        return locked {
            while items.isEmpty, !isClosed {
                if var end {
                    guard unsafe pthread_cond_timedwait(condition, mutex, &end) == 0 else {
                        return []
                    }
                } else {
                    unsafe pthread_cond_wait(condition, mutex)
                }
            }
            guard !items.isEmpty else { return nil }
            let taken = Array(items.prefix(limit))
            items.removeFirst(taken.count)
            held += taken.count
            return taken
        }
    }

    private static func time(in milliseconds: Int64) -> timespec {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        let nanoseconds = now.tv_nsec + Int(milliseconds % 1_000) * 1_000_000
        now.tv_sec += Int(milliseconds / 1_000) + nanoseconds / 1_000_000_000
        now.tv_nsec = nanoseconds % 1_000_000_000
        return now
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }
}
