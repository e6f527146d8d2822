"use strict";

const LONGEST = 20000; // milliseconds

/** Things that come to lists by and by, and those who wait for them. */
class Arrivals {
    constructor() {
        this.looking = [];
    }

    /** Tell that something came. */
    came() {
        this.looking.splice(0).forEach((look) => look());
    }

    /** `list` once it holds `count`; an error when it does not in good time. */
    async in(list, count) {
        const late = Date.now() + LONGEST;
        while (list.length < count) {
            await new Promise((resolve, reject) => {
                const message = `${list.length} of ${count} came`;
                const timer = setTimeout(() => reject(new Error(message)), late - Date.now());
                this.looking.push(() => resolve(clearTimeout(timer)));
            });
        }
        return list;
    }
}

module.exports = { Arrivals };
