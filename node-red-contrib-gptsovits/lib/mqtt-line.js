"use strict";

const { randomUUID } = require("node:crypto");
const { SpeechError } = require("./speech-error");

const ONCE_AT_LEAST = 1;

/**
 * The service's MQTT door, over one of Node-RED's own broker nodes.
 *
 * The broker node drops without a word what is published while it is not connected, and answers that
 * come meanwhile are gone. So every open request is sent (again) at each connect: the service knows
 * an id that it has heard before, says nothing twice and repeats its answer.
 */
class MqttLine {
    /**
     * @param {object} broker a core `mqtt-broker` node
     * @param {string} base first part of all topics
     * @param {string} id of the node that owns this line
     */
    constructor(broker, base, id) {
        this.broker = broker;
        this.base = base;
        this.id = id;
        this.open = new Map(); // id of a request -> {request, expires, waiters}
        // The broker node tells its users of its state by setting theirs.
        this.user = { id, type: "gptsovits-server", status: () => this._stateChanged() };
        this.connected = false;
    }

    start() {
        for (const outcome of ["said", "failed"]) {
            const heard = (topic, payload) => this._answered(outcome, payload);
            this.broker.subscribe(`${this.base}/${outcome}`, { qos: ONCE_AT_LEAST }, heard, this.id);
        }
        this.broker.register(this.user);
        this._stateChanged();
    }

    stop(done) {
        for (const outcome of ["said", "failed"]) {
            this.broker.unsubscribe(`${this.base}/${outcome}`, this.id, true);
        }
        this.broker.deregister(this.user, done, true);
    }

    /**
     * Have something said.
     *
     * @param {object} request from `readRequest`
     * @param {AbortSignal} signal aborting takes the request back
     * @param {number} seconds after which the caller gives up: it is not worth starting then
     * @returns {Promise<object>} the fields of the service's answer
     * @throws {SpeechError}
     */
    speak(request, signal, seconds) {
        const id = request.id || randomUUID();
        const limit = Math.min(seconds, request.expires === undefined ? seconds : request.expires);
        return new Promise((resolve, reject) => {
            const waiter = { resolve, reject };
            const known = this.open.get(id);
            const job = known || { request: { ...request, id }, until: Date.now() + limit * 1000, waiters: new Set() };
            job.waiters.add(waiter);
            signal.addEventListener("abort", () => this._leave(job, waiter, signal.reason), { once: true });
            if (!known) {
                this.open.set(id, job);
                this._send(job);
            }
        });
    }

    _stateChanged() {
        const connected = Boolean(this.broker.connected);
        if (connected && !this.connected) {
            // The broker node subscribes after it has told its users; answers need that first.
            setImmediate(() => this.open.forEach((job) => this._send(job)));
        }
        this.connected = connected;
    }

    _send(job) {
        if (!this.broker.connected || !this.open.has(job.request.id)) {
            return;
        }
        const expires = Math.max(0, (job.until - Date.now()) / 1000);
        const payload = JSON.stringify({ ...job.request, expires });
        const most = this.broker.serverProperties && this.broker.serverProperties.maximumPacketSize;
        if (most && Buffer.byteLength(payload) + 200 > most) {
            // Sent all the same, it would cost the connection, again and again.
            this._fail(job, new SpeechError("body_too_large", `the broker takes ${most} bytes at most`));
            return;
        }
        job.sent = true;
        const message = { topic: `${this.base}/say`, payload, qos: ONCE_AT_LEAST, contentType: "application/json" };
        this.broker.publish(message, (error) => {
            // A lost connection is no refusal: it goes out again with the next one.
            if (error && error.code >= 0x80) {
                this._fail(job, new SpeechError("broker_refused", `the broker refused it: ${error.message}`));
            }
        });
    }

    _answered(outcome, payload) {
        let answer;
        try {
            answer = JSON.parse(payload.toString());
        } catch {
            return; // not the service's: whoever may publish there may publish anything
        }
        const job = answer && this.open.get(answer.id);
        if (job && outcome === "said") {
            this.open.delete(answer.id);
            job.waiters.forEach((waiter) => waiter.resolve(answer));
        } else if (job) {
            const details = answer.param ? { param: answer.param } : {};
            this._fail(job, new SpeechError(answer.code, answer.message, details));
        }
    }

    _fail(job, error) {
        this.open.delete(job.request.id);
        job.waiters.forEach((waiter) => waiter.reject(error));
    }

    _leave(job, waiter, reason) {
        job.waiters.delete(waiter);
        waiter.reject(job.sent ? reason : unsent(reason));
        const { id } = job.request;
        if (job.waiters.size === 0 && this.open.delete(id) && job.sent && this.broker.connected) {
            // The flow was told that it is not said: then it must not be said later.
            const message = { topic: `${this.base}/cancel`, payload: JSON.stringify({ id }), qos: ONCE_AT_LEAST };
            this.broker.publish(message, () => {});
        }
    }
}

function unsent(reason) {
    return reason.code === "timeout" ? new SpeechError("not_connected", "the MQTT broker was not reached in time") : reason;
}

module.exports = { MqttLine };
