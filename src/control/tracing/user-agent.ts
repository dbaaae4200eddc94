/** What the gateway calls itself where it sends traces. */
export const USER_AGENT = 'gatehouse';
