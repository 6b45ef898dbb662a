internal import Keys
public import RATS

/// Whether Evidence was accepted: `{1: 0 or a code, 2: text, 3: lease seconds}`.
public struct ResultBody: Sendable, Equatable {
    /// The most bytes of text: a refusal's texts are below 512 characters each, and are cut here.
    static let maxText = 2 * 1024

    /// 0 if accepted, else the number of the stage that refused.
    public let code: UInt64
    /// The refusal in words; empty if accepted.
    public let text: String

    /// For how many seconds the Evidence is remembered; 0 where it is not, or was refused.
    public let leaseSeconds: UInt64

    /// Accepted, and remembered for so many seconds.
    public static func admitted(leaseSeconds: UInt64 = 0) -> ResultBody {
        ResultBody(code: 0, text: "", leaseSeconds: leaseSeconds)
    }

    /// Refused, in the words of `refusal`.
    ///
    /// What failed inside this machine is its own business: of that, the peer learns the code.
    public static func refused(_ refusal: Refusal) -> ResultBody {
        let isPrivate = refusal.stage == .attestation || refusal.stage == .configuration
        let words = isPrivate ? refusal.code : refusal.description
        var text = ""
        for scalar in words.unicodeScalars {
            guard text.utf8.count + 4 <= maxText else { break }
            text.unicodeScalars.append(scalar)
        }
        return ResultBody(code: refusal.stage.number, text: text, leaseSeconds: 0)
    }

    /// What whoever is refused can do about it; what fails within a peer only its operator sees.
    var remedy: String {
        let isPrivate = [Refusal.Stage.attestation, .configuration].contains { $0.number == code }
        if !isPrivate { return "see the peer's reason; its policy decides" }
        if text == "attester.busy" { return "try again in a second" }
        return "have the peer's operator read its log, and run `ratel doctor` there"
    }

    /// The body as it travels.
    public var encoded: [UInt8] {
        CBORValue.fields([
            (1, .unsigned(code)), (2, .text(text)), (3, .unsigned(leaseSeconds)),
        ]).encoded()
    }

    /// Reads a body; text and seconds may be absent.
    public static func decode(_ bytes: [UInt8]) throws(Refusal) -> ResultBody {
        do throws(CBORError) {
            let fields = try CBORFields(decoding: bytes, allowed: [1, 2, 3])
            let text = fields.optional(2) == nil ? "" : try fields.text(2)
            guard text.utf8.count <= maxText else { throw CBORError(.wrongType, offset: 2) }
            let seconds = fields.optional(3) == nil ? 0 : try fields.number(3)
            return ResultBody(code: try fields.number(1), text: text, leaseSeconds: seconds)
        } catch {
            throw ExchangeRules.refusal(
                "exchange.result.malformed",
                "result frame",
                expected: "a result as specified",
                got: error.description
            )
        }
    }
}
