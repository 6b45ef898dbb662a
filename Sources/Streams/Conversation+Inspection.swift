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
        inspection.bytes.append(copying: bytes.extracting(0..<offset))
        try noteRequest(bytes: offset)
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
        request.inspected = inspected.bytes
        request.inspectedSent = 0
        return true
    }

    /// Takes what was read out of its chunks, for an upstream that speaks HTTP/2.
    func unframeInspected() {
        guard request.dechunks, !request.inspected.isEmpty else { return }
        var reader = BodyReader(.chunked)
        var content: [UInt8] = []
        var offset = 0
        let framed = request.inspected
        // It was read once without a refusal, so this stops at its end.
        while offset < framed.count {
            let isTrailer = reader.isInTrailers
            guard let segment = try? reader.next(framed.span, from: offset),
                segment.end > offset
            else { break }
            if segment.kind == .data { content += framed[offset..<segment.end] }
            if segment.kind == .framing, isTrailer {
                request.trailers += framed[offset..<segment.end]
            }
            offset = segment.end
        }
        request.inspected = content
    }

    /// Sends what was read on a stream of HTTP/2; false while some of it waits, or all is over.
    func relayInspected() -> Bool {
        while request.inspectedSent < request.inspected.count {
            guard let lent, lent.isWritable else { return false }
            guard var buffer = caller.lendBuffer() else {
                fail(.noBuffer)
                return false
            }
            let end = min(
                request.inspected.count, request.inspectedSent + BufferPool.plaintextSize)
            _ = buffer.append(request.inspected.span.extracting(request.inspectedSent..<end))
            request.inspectedSent = end
            if case .failed(let error) = lent.send(buffer) {
                sendingFailed(error)
                return false
            }
        }
        request.inspected = []
        return true
    }
}
