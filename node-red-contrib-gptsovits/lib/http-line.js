"use strict";

const { SpeechError } = require("./speech-error");

/** The service's HTTP door. */
class HttpLine {
    /**
     * @param {string} url where the service is, such as `http://homeassistant.local:9880`
     * @param {string} [token]
     */
    constructor(url, token) {
        this.url = url.replace(/\/+$/, "");
        this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    }

    /**
     * Have a clip made.
     *
     * @param {object} request from `readRequest`
     * @param {AbortSignal} signal aborting cancels the request at the service, too
     * @returns {Promise<{id: string, url: string, seconds: number, rung: string, voice: string}>}
     * @throws {SpeechError}
     */
    async speak(request, signal) {
        const { text, id, format, ...rest } = request;
        for (const param of ["players", "volume"]) {
            if (param in rest) {
                const message = `${param}: only a server that is reached by MQTT has players play; by HTTP the url is the answer`;
                throw new SpeechError("bad_request", message, { param });
            }
        }
        const body = { input: text, ...rest, ...(format && { response_format: format }) };
        const clip = await this._ask("/v1/clips", signal, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(body),
        });
        return id ? { ...clip, id } : clip;
    }

    /** @returns {Promise<{voices: object[], default: string, languages: string[]}>} */
    voices(signal) {
        return this._ask("/v1/voices", signal);
    }

    async _ask(path, signal, options = {}) {
        const headers = { ...this.headers, ...options.headers };
        let response, text;
        try {
            response = await fetch(this.url + path, { ...options, headers, signal });
            text = await response.text();
        } catch (error) {
            signal.throwIfAborted();
            const reason = (error.cause && (error.cause.code || error.cause.message)) || error.message;
            throw new SpeechError("unreachable", `${this.url}: ${reason}`);
        }
        const answer = parse(text);
        if (response.ok && answer) {
            return answer;
        }
        throw refusal(response, answer);
    }
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

function refusal(response, answer) {
    const { code, message, param } = (answer && answer.error) || {};
    const details = { status: response.status };
    if (param) {
        details.param = param;
    }
    const retryAfter = Number(response.headers.get("Retry-After"));
    if (retryAfter > 0) {
        details.retryAfter = retryAfter;
    }
    // A proxy in between, or something else that listens there.
    const foreign = `${response.url} answered ${response.status} ${response.statusText}, and not as this service does`;
    return new SpeechError(code || "unreachable", message || foreign, details);
}

module.exports = { HttpLine };
