internal import Loop
internal import Streams

/// What a `ServiceRuntime` keeps running: a sidecar, a client helper or a whole proxy.
protocol Operation: AnyObject {
    /// What the admin listener shows of it.
    var status: any OperationStatus { get }
    /// The attested sides of now: their keys rotate and their Evidence is watched.
    var channels: [Channel] { get }
    /// Connections accepted and connections ended, together.
    var connectionChanges: Int { get }
    /// Whose addresses are told at the start, by name.
    var addresses: [(name: String, address: Address)] { get }
    /// Listens, and begins what runs on the main loop.
    func start(on loop: EventLoop) throws(ConfigurationError)
    /// Looks whether files have changed; on a thread of its own. `isAsked` is SIGHUP.
    func check(isAsked: Bool)
    /// Has no request begin on a connection that was admitted before; with a failure, what is under
    /// way ends in it.
    func expireAdmissions(cutting failure: Failure?)
    /// Answers requests that come from now on with `Failure.draining`; `done` is called, on any
    /// thread, when the last stream has ended. Goes on refusing until `stop`.
    func drain(then done: @escaping @Sendable () -> Void)
    /// Gives up what runs on the main loop.
    func close()
    /// Closes everything at once and waits for the workers to end.
    func stop()
}

/// What the admin listener shows, and what the runtime tells it.
protocol OperationStatus: StatusSource {
    func set(listening trouble: String?)
    func set(evidence trouble: String?)
    func setDraining()
}
