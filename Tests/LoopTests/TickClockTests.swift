import Loop
import Testing

private final class Ticked: TickFollower {
    var count = 0
    var act: () -> Void = {}

    override func didTick() {
        count += 1
        act()
    }
}

@Suite struct TickClockTests {
    private func end(_ loop: EventLoop) {
        loop.mailbox.close()
        loop.run()
    }

    @Test func allWhoWaitAreToldAtOneTick() {
        let loop = EventLoop(bufferCount: 16)
        let (one, other) = (Ticked(), Ticked())
        var order: [Int] = []
        one.act = { order.append(other.count) }
        loop.atNextTick(tell: one)
        loop.atNextTick(tell: other)
        loop.atNextTick(tell: one)
        while other.count == 0 { loop.turn() }
        #expect(one.count == 1 && other.count == 1 && order == [0])
        end(loop)
    }

    @Test func whoWaitsAgainIsToldAtTheNextTick() {
        let loop = EventLoop(bufferCount: 16)
        let one = Ticked()
        var times: [UInt64] = []
        one.act = {
            times.append(loop.now / 50)
            if times.count < 3 { loop.atNextTick(tell: one) }
        }
        loop.atNextTick(tell: one)
        while times.count < 3 { loop.turn() }
        // Each in a period of its own, however late the machine is.
        #expect(times[0] < times[1] && times[1] < times[2])
        end(loop)
        #expect(one.count == 3)
    }

    @Test func whoIsForgottenIsNotTold() {
        let loop = EventLoop(bufferCount: 16)
        let followers = (0..<4).map { _ in Ticked() }
        // The first forgets one that is still to be told, and one that waits for the next tick.
        followers[0].act = {
            loop.forgetTick(of: followers[2])
            loop.atNextTick(tell: followers[0])
            loop.forgetTick(of: followers[0])
        }
        for follower in followers { loop.atNextTick(tell: follower) }
        loop.forgetTick(of: followers[1])
        loop.forgetTick(of: followers[1])
        while followers[3].count == 0 { loop.turn() }
        // The next tick has only this one.
        loop.atNextTick(tell: followers[3])
        while followers[3].count == 1 { loop.turn() }
        #expect(followers.map(\.count) == [1, 0, 0, 2])
        end(loop)
    }
}
