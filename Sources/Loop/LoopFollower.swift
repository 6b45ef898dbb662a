/// Something that gathers work over one iteration of a loop and does it at the end, such as sending
/// what many streams have for one connection in one record.
open class LoopFollower {
    /// Where it stands among those who wait; negative where it does not.
    final var place = -1

    /// For subclasses.
    public init() {}

    /// Everything that the loop woke up for is done.
    open func eventsAreDone() {}
}
