"use strict";

/** Why something was not said: `code` is stable and meant for flows, `message` for people. */
class SpeechError extends Error {
    /**
     * @param {string} code one of the service's codes (docs/protocols.md), or one of this package's:
     *   `unreachable`, `timeout`, `not_connected`, `stopped`, `no_server`
     * @param {string} message
     * @param {{param?: string, status?: number, retryAfter?: number}} [details]
     */
    constructor(code, message, details = {}) {
        super(message);
        this.name = "SpeechError";
        this.code = code;
        this.details = details;
    }

    /** What a flow gets in `msg.error`. */
    toMessage() {
        return { code: this.code, message: this.message, ...this.details };
    }
}

module.exports = { SpeechError };
