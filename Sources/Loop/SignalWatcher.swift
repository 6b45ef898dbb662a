internal import CUV

/// Delivers a Unix signal to a loop.
@safe
public final class SignalWatcher {
    private let handle: UnsafeMutablePointer<uv_signal_t>
    private let fire: () -> Void

    /// Calls `fire` on `loop` at each `signal` until `close()`.
    public init(_ signal: Int32, on loop: EventLoop, _ fire: @escaping () -> Void) {
        self.fire = fire
        unsafe handle = .allocate(capacity: 1)
        unsafe uv_signal_init(loop.handle, handle)
        unsafe handle.pointee.data = Unmanaged.passRetained(self).toOpaque()
        unsafe uv_signal_start(
            handle,
            { handle, _ in
                unsafe Unmanaged<SignalWatcher>.fromOpaque(handle!.pointee.data)
                    ._withUnsafeGuaranteedRef { $0.fire() }
            }, signal)
        unsafe uv_unref(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self))
    }

    deinit {
        unsafe handle.deallocate()
    }

    /// Stops watching.
    public func close() {
        unsafe uv_close(
            UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)
        ) { handle in
            unsafe Unmanaged<SignalWatcher>.fromOpaque(handle!.pointee.data).release()
        }
    }
}
