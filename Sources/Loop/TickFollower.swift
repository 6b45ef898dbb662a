/// Something that keeps what it has for the next tick of its loop.
open class TickFollower {
    /// Where it stands among those who wait; negative where it does not.
    final var place = -1

    /// For subclasses.
    public init() {}

    /// The loop ticks.
    open func didTick() {}
}
