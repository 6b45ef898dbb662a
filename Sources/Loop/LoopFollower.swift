/// Something that gathers work over one iteration of a loop and does it at the end, such as sending
/// what many streams have for one connection in one record.
open class LoopFollower {
    final var isWaiting = false

    /// For subclasses.
    public init() {}

    /// Everything that the loop woke up for is done.
    open func eventsAreDone() {}
}
