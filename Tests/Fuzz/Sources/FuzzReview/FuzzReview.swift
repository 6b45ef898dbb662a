import FuzzSupport
import Glibc
import RATS

@testable import Injection
@testable import Keys

@main struct FuzzReview {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Made for each run: LeakSanitizer takes a global's tagged pointers for lost ones.
private func makeTemplate() -> SidecarTemplate {
    SidecarTemplate(
        annotations: [
            .init(name: "backend-port", kind: .port, fallback: "8000"),
            .init(name: "policy", kind: .name, fallback: "callers"),
            .init(name: "padding", kind: .word(["off", "tick"]), fallback: "off"),
        ],
        isNative: true,
        container: .members([
            ("name", .string("ratel")), ("args", .array([.string("${backend-port} ${padding}")])),
        ]),
        containerName: "ratel",
        volumes: [.members([("name", .string("policy")), ("is", .string("${policy}"))])],
        backendPreStop: .members([("sleep", .null)]), minimumGracePeriod: 360, digest: [1, 2])
}

/// Questions of an API server: only who asks for it is changed, by additions, and nothing of what
/// a pod says goes into the sidecar but what the template allows.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = FuzzInput(start, count)
    guard let review = try? AdmissionReview(input.bytes) else { return 0 }
    do throws(Refusal) {
        let outcome = try PodInjection.inject(makeTemplate(), into: review.pod)
        let answer = JSONParser.parse(review.answer(outcome))
        require(answer?["response"]?["uid"]?.text == review.uid, "the answer is to this question")
        let isAsked = review.pod["metadata"]?["labels"]?["ratel.dev/inject"]?.text == "true"
        require(isAsked || outcome.operations.isEmpty, "who did not ask is left alone")
        for operation in outcome.operations {
            require(operation["op"]?.text == "add", "nothing is taken away")
            guard
                let container = [operation["value"], operation["value"]?.items?.first]
                    .compactMap({ $0 }).first(where: { $0["name"]?.text == "ratel" })
            else { continue }
            let words = (container["args"]?.items?.first?.text ?? "").split(separator: " ")
            require(words.count == 2 && UInt16(words[0]) != nil, "a port")
            require(words[1] == "off" || words[1] == "tick", "a word of the template")
        }
    } catch {
        let answer = JSONParser.parse(review.answer(error))
        require(answer?["response"]?["allowed"] == .bool(false), "a refusal keeps the pod out")
    }
    return 0
}
