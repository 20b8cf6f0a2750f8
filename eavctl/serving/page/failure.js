/** A failure with a sentence for the user: the service's own, or the page's. Other errors are bugs of the page. */
export class Failure extends Error {}
