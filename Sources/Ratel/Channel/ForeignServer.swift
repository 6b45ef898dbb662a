internal import Appraisal
internal import Loop
internal import RATLS
internal import RATS
internal import TLS

/// What a server of another system shows on one connection of `ratel connect`.
final class ForeignServer {
    /// What to do next.
    enum Step {
        case wait
        case appraise(ForeignJob)
        case refused(Refusal)
    }

    private let handshake: Handshake
    private let channel: Channel
    private let export: (_ label: String) -> [UInt8]
    private var received: [UInt8] = []
    private var isRead = false

    /// What came behind its message: the first application bytes.
    private(set) var leftover: [UInt8] = []

    /// `export` gives 32 bytes of the connection's exporter without a context.
    init(
        _ handshake: Handshake, _ channel: Channel,
        export: @escaping (_ label: String) -> [UInt8]
    ) {
        self.handshake = handshake
        self.channel = channel
        self.export = export
    }

    private var speaksFirst: Bool {
        handshake.applicationProtocol == FlashbotsMessage.applicationProtocol
    }

    /// What it waits for once it is admitted, before it takes requests.
    var answer: [UInt8] { speaksFirst ? FlashbotsMessage.none : [] }

    /// The handshake is complete.
    func begin() -> Step {
        if speaksFirst { return .wait }
        do throws(Refusal) {
            return .appraise(
                try ForeignJob(handshake, policy: channel.policy, now: System.now))
        } catch {
            return .refused(error)
        }
    }

    /// The server sent `bytes`, before anything was asked of it.
    func receive(_ bytes: [UInt8]) -> Step {
        guard speaksFirst, !isRead else {
            return .refused(
                Refusal(
                    "server.unasked", .evidence, field: "bytes of the server", expected: "none",
                    got: "\(bytes.count) before any request",
                    remedy: "the server is no HTTP server"))
        }
        received += bytes
        do throws(Refusal) {
            guard let (message, consumed) = try FlashbotsMessage.read(received) else {
                return .wait
            }
            isRead = true
            leftover = Array(received[consumed...])
            received = []
            return .appraise(
                try ForeignJob(
                    message, exporter: export(FlashbotsMessage.exporterLabel), of: handshake,
                    policy: channel.policy, now: System.now))
        } catch {
            return .refused(error)
        }
    }
}
