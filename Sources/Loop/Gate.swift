internal import CUV

/// Hands one value from one thread to another that waits for it.
@safe
public final class Gate<Value: Sendable>: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<uv_sem_t>
    private var value: Value?

    /// Makes a closed gate.
    public init() {
        unsafe semaphore = .allocate(capacity: 1)
        unsafe uv_sem_init(semaphore, 0)
    }

    deinit {
        unsafe uv_sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }

    /// Hands the value over; once.
    public func open(_ value: Value) {
        precondition(self.value == nil, "a gate opens once")
        self.value = value
        unsafe uv_sem_post(semaphore)
    }

    /// Blocks this thread until the value is there.
    public func wait() -> Value {
        unsafe uv_sem_wait(semaphore)
        guard let value else { preconditionFailure("a gate opened without a value") }
        return value
    }
}
