/** Set to 1 by `gatehouse dev`: a console where the configuration asks for none. */
export const CONSOLE_VARIABLE = 'GATEHOUSE_DEV_CONSOLE';
