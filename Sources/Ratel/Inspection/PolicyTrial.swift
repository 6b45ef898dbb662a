internal import Appraisal
internal import RATS

/// Tries policies on Evidence in a file or folder, whatever it covers.
struct PolicyTrial {
    private enum Subject {
        case bundle(EvidenceBundle)
        case file(EvidenceFile)
    }

    private let subject: Subject
    private let anchors: TrustAnchors
    private let now: Int64

    init(_ request: VerifyRequest) throws(UnusableInput) {
        anchors = try request.anchors()
        now = try request.now()
        switch EvidenceFolder.read(request.subject) {
        case .unusable(let why): throw UnusableInput(why)
        case .absent: throw UnusableInput("\(request.subject): no such file or folder")
        case .folder(let files):
            guard let bundle = EvidenceBundle(files: files) else {
                throw UnusableInput("\(request.subject): no Evidence by any known file name")
            }
            subject = .bundle(bundle)
        case .file(let bytes):
            if let bundle = EvidenceBundle(file: bytes) {
                subject = .bundle(bundle)
            } else if let file = try? EvidenceFile(parsing: bytes) {
                subject = .file(file)
            } else {
                throw UnusableInput("\(request.subject): no Evidence of a known kind")
            }
        }
    }

    /// Returns if the policy admits it.
    func callAsFunction(_ policy: AppraisalPolicy) throws(Refusal) {
        switch subject {
        case .bundle(let bundle):
            _ = try bundle.appraise(policy, anchors: anchors, covering: nil, now: now)
        case .file(let file): _ = try file.appraise(policy, now: now)
        }
    }
}
