internal import CUV

/// Hands one value from one thread to another that waits for it.
@safe
public final class Gate<Value: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<uv_mutex_t>
    private let condition: UnsafeMutablePointer<uv_cond_t>
    // Touched under the mutex alone.
    private var value: Value?

    /// Makes a closed gate.
    public init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe uv_mutex_init(mutex)
        unsafe condition = .allocate(capacity: 1)
        unsafe uv_cond_init(condition)
    }

    deinit {
        unsafe uv_cond_destroy(condition)
        unsafe condition.deallocate()
        unsafe uv_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Hands the value over; once.
    public func open(_ value: Value) {
        unsafe uv_mutex_lock(mutex)
        defer { unsafe uv_mutex_unlock(mutex) }
        precondition(self.value == nil, "a gate opens once")
        self.value = value
        unsafe uv_cond_signal(condition)
    }

    /// Blocks this thread until the value is there.
    public func wait() -> Value {
        unsafe uv_mutex_lock(mutex)
        defer { unsafe uv_mutex_unlock(mutex) }
        while true {
            if let value { return value }
            unsafe uv_cond_wait(condition, mutex)
        }
    }

    /// Blocks this thread until the value is there, for so many milliseconds at most; nil after
    /// them.
    public func wait(milliseconds: UInt64) -> Value? {
        let end = uv_hrtime() + milliseconds * 1_000_000
        unsafe uv_mutex_lock(mutex)
        defer { unsafe uv_mutex_unlock(mutex) }
        while value == nil {
            let now = uv_hrtime()
            guard now < end else { return nil }
            unsafe uv_cond_timedwait(condition, mutex, end - now)
        }
        return value
    }
}
