internal import Bytes
internal import HTTP
internal import Loop

/// What is read of a request's body to learn where it goes.
struct BodyInspection {
    /// Bytes of content to read at most.
    let limit: Int
    var scanner = ModelScanner()
    /// What was read, framing and all; it goes upstream behind the head.
    var bytes: [UInt8] = []
}

/// A request that is routed by its body: the beginning is kept until the model is known, and then
/// goes on with the head.
extension Conversation {
    func beginInspection(limit: Int, expectsContinue: Bool) {
        inspection = BodyInspection(limit: limit)
        stage = .inspecting
        watch()
        // Who waits for a 100 would wait for an upstream that is not chosen before the body comes.
        if expectsContinue, !request.isComplete {
            caller.sendHead(.interim(100), hasBody: true)
        }
        if let buffer = held.take() { return inspectRequest(buffer) }
        if request.isComplete { decide() } else { caller.resume() }
    }

    func inspectRequest(_ bytes: consuming Buffer) {
        var buffer = bytes
        do throws(HTTPRefusal) {
            let end = try inspect(buffer.bytes)
            if end < buffer.count {
                keepPipelined(buffer.bytes.extracting(end..<buffer.count))
            }
            buffer.clear()
        } catch {
            inspection = nil
            return failRequest(error)
        }
        _ = consume buffer
        guard let inspection else { return }
        if request.isComplete || inspection.scanner.finding != .pending
            || request.body.dataCount >= UInt64(inspection.limit)
        {
            decide()
        } else {
            caller.resume()
        }
    }

    /// Takes the bytes of the body into the inspection; answers where they end.
    private func inspect(_ bytes: Span<UInt8>) throws(HTTPRefusal) -> Int {
        guard var inspection else { return 0 }
        self.inspection = nil
        var offset = 0
        reading: while true {
            let segment = try request.body.next(bytes, from: offset)
            switch segment.kind {
            case .data:
                // However the body was cut into reads, it is looked at to the same place.
                let passed = Int(clamping: request.body.dataCount) - (segment.end - offset)
                let end = min(segment.end, offset + max(0, inspection.limit - passed))
                _ = inspection.scanner.scan(bytes, offset..<end)
            case .framing: break
            case .end, .needMore: break reading
            }
            offset = segment.end
        }
        inspection.bytes.append(contentsOf: Array(copying: bytes.extracting(0..<offset)))
        try noteRequest(bytes: offset, finished: request.body.isFinished)
        self.inspection = inspection
        return offset
    }

    private func decide() {
        caller.pause()
        var model: String?
        if case .found(let name)? = inspection?.scanner.finding { model = name }
        perform(handler.handle(model: model))
    }

    /// Puts what was read behind the head; false where it is too much already.
    func endInspection() -> Bool {
        guard let inspected = inspection.take() else { return true }
        guard request.body.dataCount <= request.maximumBody else {
            failRequest(.bodyTooLarge(request.maximumBody))
            return false
        }
        request.forwarded.append(contentsOf: inspected.bytes)
        return true
    }
}
