/** Workers hear on it that messages may be due now; whoever plans some says so once they are committed. */
export const DELIVERY_CHANNEL = 'delivery';
