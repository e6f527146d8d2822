"use strict";

const { SpeechError } = require("./speech-error");

const NUMBERS = [
    ...["speed", "expires", "volume", "pause", "lead_in", "sample_rate"],
    ...["seed", "top_k", "top_p", "temperature", "repetition_penalty"],
];
const FIELDS = [
    ...["voice", "style", "language", "priority", "format", "players", "chime", "fallback", "model", "normalize"],
    ...NUMBERS,
];

/**
 * The request in a message: `msg.payload` is the text, `msg.voice` and the other fields go before
 * what the node is set to. What is left out the service decides.
 *
 * @param {object} msg
 * @param {object} settings the node's own fields; empty strings are unset
 * @returns {{text: string, id?: string}}
 * @throws {SpeechError} `bad_request`, naming the field
 */
function readRequest(msg, settings) {
    const request = { text: readText(msg.payload) };
    for (const field of FIELDS) {
        const value = isSet(msg[field]) ? msg[field] : settings[field];
        if (isSet(value)) {
            request[field] = NUMBERS.includes(field) ? readNumber(field, value) : value;
        }
    }
    if (isSet(request.players)) {
        request.players = readPlayers(request.players);
    }
    if (isSet(msg.id)) {
        request.id = String(msg.id);
    }
    return request;
}

function readText(payload) {
    if (typeof payload === "string" || typeof payload === "number") {
        return String(payload);
    }
    throw new SpeechError("bad_request", "msg.payload: must be the text to speak", { param: "payload" });
}

function readNumber(field, value) {
    const number = Number(value);
    if (Number.isFinite(number)) {
        return number;
    }
    throw new SpeechError("bad_request", `${field}: must be a number, not ${value}`, { param: field });
}

function readPlayers(value) {
    const players = Array.isArray(value) ? value : String(value).split(",");
    return players.map((player) => String(player).trim()).filter(Boolean);
}

function isSet(value) {
    return value !== undefined && value !== null && value !== "";
}

module.exports = { readRequest };
