internal import CUV

/// A thread of the system that runs one event loop from its first job to its end.
@safe
public final class Worker: @unchecked Sendable {
    private let thread: UnsafeMutablePointer<uv_thread_t>
    private let body: @Sendable () -> Void

    /// Starts a thread that runs `body`.
    public init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        unsafe thread = .allocate(capacity: 1)
        let status = unsafe uv_thread_create(
            thread,
            { context in
                let worker = unsafe Unmanaged<Worker>.fromOpaque(context!).takeRetainedValue()
                worker.body()
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(status == 0, "the system refused a thread")
    }

    deinit {
        unsafe thread.deallocate()
    }

    /// Waits until the thread has ended.
    public func join() {
        unsafe uv_thread_join(thread)
    }

    /// The processors that this process may use.
    public static var processors: Int { max(1, Int(uv_available_parallelism())) }
}
